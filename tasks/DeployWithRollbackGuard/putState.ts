import { ApiError, isNotFound } from '../core/kubernetes/apiError';
import { applyObject, applyOver, ReplacedObjectError } from '../core/kubernetes/applyObject';
import { withoutReplicas } from '../core/kubernetes/autoscaling';
import { settleMutation, type KubernetesClient } from '../core/kubernetes/client';
import { withLastApplied } from '../core/kubernetes/lastApplied';
import { referenceName, type ObjectReference } from '../core/kubernetes/objectReference';
import type { JsonPatchOperation, KubernetesObject } from '../core/kubernetes/objects';
import type { ResourceKinds } from '../core/kubernetes/resourceKinds';
import { changedFields, isRestored, restoreBody } from '../core/kubernetes/restoreBody';
import { containsImages, imagesOf, type ConfigState, type ImagesState, type ObjectState, type WholeState } from './objectState';
import { imagesPatch, templatePatch } from './releaseDecision';

/** Somebody else changed the object between the look at it and the change, so that all has to be decided anew. */
export class ChangedMeanwhileError extends Error {
  constructor(ref: ObjectReference) {
    super(`${referenceName(ref)} was changed by somebody else in this moment.`);
  }
}

export interface ObjectChange {
  readonly ref: ObjectReference;
  readonly live: KubernetesObject | undefined;
  /** The state that a release left it in, where that is to be undone. */
  readonly from?: ObjectState;
  readonly to: ObjectState;
}

/** Writes objects of a release; each write is refused where the object is no longer the one that was read. */
export class ObjectWriter {
  constructor(
    private readonly client: KubernetesClient,
    private readonly kinds: ResourceKinds,
    private readonly signal: AbortSignal,
  ) {}

  /** @returns undefined where it does not exist */
  async read(ref: ObjectReference): Promise<KubernetesObject | undefined> {
    try {
      return await this.client.get<KubernetesObject>(await this.kinds.path(ref), { signal: this.signal });
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  /**
   * Brings one object into a state.
   * @returns the object as the API server answered; undefined where it was deleted
   * @throws ChangedMeanwhileError
   */
  async put(change: ObjectChange): Promise<KubernetesObject | undefined> {
    const { ref, live, to } = change;
    switch (to.kind) {
      case 'absent':
        if (live) await this.delete(ref, live);
        return undefined;
      case 'images':
        if (!live) throw new ChangedMeanwhileError(ref);
        return this.setImages(ref, live, to, change.from);
      case 'config':
      case 'whole':
        return this.apply(change, to);
    }
  }

  /** Deletes this very object, and what it owns. */
  async delete(ref: ObjectReference, live: KubernetesObject): Promise<void> {
    const body = { apiVersion: 'v1', kind: 'DeleteOptions', propagationPolicy: 'Background', preconditions: { uid: live.metadata.uid } };
    try {
      await this.client.delete(await this.kinds.path(ref), { body, signal: this.signal });
    } catch (error) {
      if (error instanceof ApiError && error.status === 409) throw new ChangedMeanwhileError(ref);
      throw error;
    }
  }

  async scaleToZero(ref: ObjectReference, live: KubernetesObject): Promise<KubernetesObject> {
    const path = await this.kinds.path(ref);
    const patch = [
      { op: 'test', path: '/metadata/uid', value: live.metadata.uid },
      { op: 'replace', path: '/spec/replicas', value: 0 },
    ];
    return settleMutation(() => this.client.patch<KubernetesObject>(path, 'json', patch, { signal: this.signal }), async () => {
      const now = await this.read(ref);
      return replicasOf(now) === 0 ? now : undefined;
    });
  }

  private async setImages(ref: ObjectReference, live: KubernetesObject, to: ImagesState, from: ObjectState | undefined): Promise<KubernetesObject> {
    const path = await this.kinds.path(ref);
    const send = async (patch: JsonPatchOperation[]) => {
      try {
        return await settleMutation(
          () => this.client.patch<KubernetesObject>(path, 'json', patch, { signal: this.signal }),
          async () => {
            const now = await this.read(ref);
            return now && containsImages(imagesOf(now), to.images) ? now : undefined;
          },
        );
      } catch (error) {
        // A test in the patch failed: but others may also find fault with the change itself.
        if (isFailedGuard(error) && (await this.read(ref))?.metadata.resourceVersion !== live.metadata.resourceVersion) throw new ChangedMeanwhileError(ref);
        throw error;
      }
    };
    return send(imagesPatch(live, to, from)).catch((error: unknown) => {
      const exact = isFailedGuard(error) ? templatePatch(live, to, from) : undefined;
      if (exact) return send(exact);
      throw error;
    });
  }

  private async apply({ ref, live, from }: ObjectChange, to: ConfigState | WholeState): Promise<KubernetesObject> {
    const path = await this.kinds.path(ref);
    const body = (now: KubernetesObject | undefined): KubernetesObject => {
      const wanted = to.kind === 'config' ? withLastApplied(to.config, now) : restoreBody(to.object, now ? { fields: changedFields(to.object, now) } : { recreate: true });
      // Whoever scaled the workload since has the say on it.
      const applied = from?.kind === 'config' ? replicasOf(from.config) : undefined;
      return from && now && replicasOf(now) !== applied ? withoutReplicas(wanted) : wanted;
    };
    for (let seen = live; ; ) {
      try {
        const config = body(seen);
        if (!seen) return await applyObject<KubernetesObject>(this.client, path, config, { signal: this.signal });
        // What is put back has to be the same to the last list's order, or its pods would be others than before.
        const like = from && (to.kind === 'whole' ? to.object : to.like);
        const { applied } = await applyOver(this.client, path, seen, config, { signal: this.signal, releaseReplicas: replicasOf(config) === undefined, guarded: true, ...(like && { like }) });
        return applied;
      } catch (error) {
        if (error instanceof ReplacedObjectError) throw new ChangedMeanwhileError(ref);
        if (!(error instanceof ApiError && error.status === 409) || !seen) throw error;
        // Most often only the status was written meanwhile.
        const now = await this.read(ref);
        if (!now || now.metadata.uid !== seen.metadata.uid || !isRestored(now, seen)) throw new ChangedMeanwhileError(ref);
        seen = now;
      }
    }
  }
}

/** The API server answers 422 where a `test` of a JSON patch fails, and 409 where another writer was faster. */
function isFailedGuard(error: unknown): boolean {
  return error instanceof ApiError && (error.status === 422 || error.status === 409);
}

function replicasOf(object: KubernetesObject | undefined): number | undefined {
  return (object as { spec?: { replicas?: number } } | undefined)?.spec?.replicas;
}
