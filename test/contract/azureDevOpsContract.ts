/** The official contract of Azure DevOps, for tests of tasks that talk to the simulator. */
export { CONTRACT_DIR, contractRecorder, type ContractRecorder } from '../rehearsal/azureDevOps/contractRecorder';
export { checkedContract } from '../rehearsal/azureDevOps/checkedContract';
