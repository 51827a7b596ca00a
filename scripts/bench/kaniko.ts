import type { Benchmark } from './benchmark';
import { measureMemory } from './kaniko/memory';
import { measurePack } from './kaniko/pack';
import { measureUpload } from './kaniko/upload';

/** How KanikoBuild packs and sends a context, against tar, gzip and kubectl. */
export const kaniko: Benchmark = {
  async run(setting) {
    const pack = await measurePack(setting);
    const memory = await measureMemory(setting);
    const upload = await measureUpload(setting);
    return {
      comparisons: { packVsTarGzip: pack.comparison, uploadVsKubectlExec: upload.comparison },
      metrics: {
        packMBps: { value: pack.packMBps, unit: 'MB/s', target: { atLeast: 100 } },
        rssGrowthMiB: { value: memory.rssGrowthMiB, unit: 'MiB', target: { atMost: 64 } },
      },
      notes: [`packed were ${pack.files} files`, memory.note, upload.clientNode],
    };
  },
};
