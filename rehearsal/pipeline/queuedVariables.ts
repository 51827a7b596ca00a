/** What the service knows of every run before it begins; expressions of all kinds may ask for it. */
export const QUEUED_VARIABLES: Readonly<Record<string, string>> = {
  'Build.BuildId': '1',
  'Build.Reason': 'Manual',
  'Build.SourceBranch': 'refs/heads/main',
  'Build.SourceBranchName': 'main',
  'Build.Repository.Name': 'rehearsal',
  'Build.DefinitionName': 'rehearsal',
  'System.TeamProject': 'Rehearsal',
};
