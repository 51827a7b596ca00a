import { randomUUID } from 'node:crypto';
import { guidOf, type ServiceConnection } from '../agent/serviceConnection';
import { addImage } from '../registry/addImage';
import { startRegistry, type RegistryServer } from '../registry/registryServer';

/** A registry that is a mirror of Docker Hub too, as far as the sample's Dockerfile needs one. */
export interface SampleRegistry {
  readonly server: RegistryServer;
  /** A service connection to it. */
  connection(name: string): ServiceConnection;
}

const USER = 'image-pusher';
const BASE = { repository: 'library/python', tag: '3.12-slim' } as const;

/** Starts a registry that asks for a login, and pushes a base image to it. */
export async function startSampleRegistry(): Promise<SampleRegistry> {
  const password = randomUUID();
  const server = await startRegistry({ users: { [USER]: password } });
  try {
    // Containers here run on this machine's programs, so the image needs no Python of its own.
    const config = { Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'], Cmd: ['python3'] };
    const authorization = `Basic ${Buffer.from(`${USER}:${password}`).toString('base64')}`;
    await addImage(server.url, BASE.repository, BASE.tag, { config }, { authorization });
  } catch (error) {
    await server.stop();
    throw error;
  }
  return {
    server,
    connection: (name) => ({
      id: guidOf(`connection ${name.toLowerCase()}`),
      name,
      type: 'dockerregistry',
      url: server.url,
      scheme: 'UsernamePassword',
      authorization: { registry: server.url, username: USER, password },
      data: { registrytype: 'Others' },
    }),
  };
}
