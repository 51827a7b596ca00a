import assert from 'node:assert/strict';

/** Width and height from a PNG's header. */
export function pngSize(png: Buffer): [number, number] {
  assert.equal(png.subarray(0, 8).toString('latin1'), '\x89PNG\r\n\x1a\n');
  return [png.readUInt32BE(16), png.readUInt32BE(20)];
}
