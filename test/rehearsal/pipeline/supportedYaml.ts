/** Everything that a rehearsal supports, in one file. */
export const SUPPORTED_YAML = `
name: $(Date:yyyyMMdd).$(Rev:r)
trigger:
  branches:
    include: [main]
pr: none
pool:
  vmImage: ubuntu-latest
variables:
- name: tag
  value: 1.10
- name: fixed
  value: 'yes'
  readonly: true
steps:
- script: |
    echo one
    echo two
  displayName: Two lines
  workingDirectory: samples
  env:
    TOKEN: $(token)
  failOnStderr: true
- bash: echo three
  condition: and(failed(), eq(variables['tag'], '1.10'))
  continueOnError: yes
  enabled: false
- task: DeployIt@1
  name: deploy
  inputs:
    image: app:$(tag)
    dryRun: true
    count: 007
  timeoutInMinutes: 5
  retryCountOnTaskFailure: 2
- script: echo four
`;
