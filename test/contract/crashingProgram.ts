/** Ends at once, and tries in its log to act as a pipeline command. */
export const CRASHING_PROGRAM = `import sys
print("##vso[task.setvariable variable=injected]yes", flush=True)
print("starting", flush=True)
print("fatal: the database is not there", flush=True)
sys.exit(3)
`;
