import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A file of a recorded context: its text, or what it is. */
export type RecordedFile =
  | string
  | {
      content?: string;
      base64?: string;
      zeros?: number;
      pseudoRandom?: number;
      seed?: string;
      symlink?: string;
      hardlink?: string;
      dir?: boolean;
      mode?: string;
      uid?: number;
      gid?: number;
    };

export interface RecordedImage {
  reference?: string;
  digest?: string;
  [field: string]: unknown;
}

/** One recorded run of the real executor. */
export interface Transcript {
  version: string;
  name: string;
  setup?: string;
  args: string[];
  env: Record<string, string>;
  dockerConfig?: unknown;
  otherFiles?: Record<string, string | { tgz: Record<string, RecordedFile> }>;
  contextFiles: Record<string, RecordedFile> | null;
  contextRootEntry: string | null;
  stdin: string;
  exitCode: number;
  stdout: string;
  stderr: string;
  terminationMessage: string;
  digestWrittenBeforeFailure: boolean;
  writtenFiles?: Record<string, unknown>;
  images?: RecordedImage[];
}

export type RecordedVersion = '1.24.0' | '1.28.3';

export function readTranscripts(folder: string, version: RecordedVersion): Transcript[] {
  return JSON.parse(readFileSync(join(folder, `${version}.json`), 'utf8')) as Transcript[];
}
