/** Everything that a rehearsal supports in a pipeline of one job, in one file. */
export const SUPPORTED_YAML = `
name: $(Date:yyyyMMdd).$(Rev:r)
trigger:
  branches:
    include: [main]
pr: none
pool:
  vmImage: ubuntu-latest
parameters:
- name: last
  displayName: The last one
  type: boolean
  default: true
variables:
- name: tag
  value: 1.10
- name: fixed
  value: 'yes'
  readonly: true
- name: branch
  value: $[ coalesce(variables['Build.SourceBranchName'], 'none') ]
container: python:3.12
steps:
- checkout: self
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
  continueOnError: true
  enabled: false
- task: DeployIt@1
  name: deploy
  inputs:
    image: app:$(tag)
    dryRun: true
    count: 007
  timeoutInMinutes: 5
  retryCountOnTaskFailure: 2
- publish: $(Build.ArtifactStagingDirectory)
  artifact: drop
- download: current
  artifact: drop
- \${{ if parameters.last }}:
  - script: echo four
- \${{ else }}:
  - script: echo never
`;

/** What a rehearsal supports beyond that: stages, jobs, deployments. */
export const SUPPORTED_STAGES = `
variables:
  tag: '1'
resources:
  containers:
  - container: py
    image: python:3.12
stages:
- stage: Build
  displayName: Build it
  variables:
  - name: where
    value: \${{ variables.tag }}
  jobs:
  - job: One
    container: py
    timeoutInMinutes: 10
    cancelTimeoutInMinutes: 2
    steps:
    - script: echo
  - job: Two
    dependsOn: One
    condition: succeededOrFailed('One')
    continueOnError: true
    pool: { vmImage: ubuntu-latest }
    workspace: { clean: all }
    variables:
      from: $[ dependencies.One.outputs['a.b'] ]
    steps: []
- stage: Deploy
  dependsOn: [Build]
  condition: in(dependencies.Build.result, 'Succeeded', 'SucceededWithIssues')
  lockBehavior: sequential
  jobs:
  - deployment: Ship
    environment: { name: production }
    variables:
      from: $[ stageDependencies.Build.One.outputs['a.b'] ]
    strategy:
      runOnce:
        preDeploy: { steps: [] }
        deploy:
          steps:
          - checkout: none
          - script: echo deploy
        routeTraffic: { steps: [] }
        postRouteTraffic: { pool: { vmImage: ubuntu-latest }, steps: [] }
        on:
          failure:
            steps:
            - script: echo back
          success: { steps: [] }
`;
