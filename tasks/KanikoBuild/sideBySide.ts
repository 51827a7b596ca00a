/** Works on all items, not more than `limit` at a time, and waits for every end, also of those that fail. */
export async function sideBySide<T, R>(items: readonly T[], limit: number, work: (item: T) => Promise<R>): Promise<PromiseSettledResult<R>[]> {
  const ends: PromiseSettledResult<R>[] = [];
  let next = 0;
  const worker = async () => {
    for (let at = next++; at < items.length; at = next++) {
      [ends[at] as PromiseSettledResult<R>] = await Promise.allSettled([work(items[at] as T)]);
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker));
  return ends;
}
