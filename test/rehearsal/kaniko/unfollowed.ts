/** Recorded cases that the stand-in does not follow, by version, with the reason. */
export const unfollowed: Record<'1.24.0' | '1.28.3', Record<string, string>> = {
  '1.24.0': {},
  '1.28.3': {
    dryrun: 'it prints a plan of the build, which no task asks for; the stand-in refuses the flag',
  },
};
