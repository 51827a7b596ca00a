/** A build that failed; RUN's exit code is the executor's own. */
export class BuildError extends Error {
  constructor(
    message: string,
    readonly exitCode = 1,
  ) {
    super(message);
  }
}

/** A flag whose value shows to be wrong only in the build; told without a word about the stage. */
export class SettingError extends BuildError {}
