/* Mocha's usual report, and a list of the files in which tests failed, in the file that FAILED_FILES names. */
const { writeFileSync } = require('node:fs');
const { relative } = require('node:path');
const { reporters } = require('mocha');

module.exports = class FailedFiles extends reporters.Spec {
  constructor(runner, options) {
    super(runner, options);
    const files = new Set();
    // A fixture of all files belongs to none, and no second look is taken.
    runner.on('fail', ({ file }) => files.add(file === undefined ? 'no-such-file' : relative(process.cwd(), file)));
    runner.once('end', () => writeFileSync(process.env.FAILED_FILES, [...files].map((file) => `${file}\n`).join('')));
  }
};
