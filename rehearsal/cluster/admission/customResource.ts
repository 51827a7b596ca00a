import { isMap, type Json } from '../api/json';
import type { KubernetesObject } from '../objects';

/**
 * Brings a custom resource to its structural schema: fields that it does not name go, defaults that it names are filled
 * in. Values are not checked against it.
 */
export function pruneCustomResource(object: KubernetesObject, schema: Json | undefined): void {
  if (!isMap(schema) || schema['x-kubernetes-preserve-unknown-fields'] === true) return;
  const { apiVersion, kind, metadata, ...rest } = object;
  const fitted = isMap(rest) ? fit(rest, schema) : rest;
  for (const field of Object.keys(rest)) Reflect.deleteProperty(object, field);
  Object.assign(object, fitted, { apiVersion, kind, metadata });
}

function fit(value: Json, schema: Json | undefined): Json {
  if (!isMap(schema)) return value;
  if (Array.isArray(value)) return value.map((item) => fit(item, schema['items']));
  if (!isMap(value)) return value;
  const properties = isMap(schema['properties']) ? schema['properties'] : {};
  const { additionalProperties } = schema;
  const isOpen = schema['x-kubernetes-preserve-unknown-fields'] === true || additionalProperties === true || schema['x-kubernetes-embedded-resource'] === true;
  const kept = Object.entries(value).flatMap(([name, item]): [string, Json][] => {
    const field = properties[name] ?? (isMap(additionalProperties) ? additionalProperties : undefined);
    if (field === undefined) return isOpen ? [[name, item]] : [];
    // A null where the schema does not allow one stands for "not there".
    return item === null && !(isMap(field) && field['nullable'] === true) ? [] : [[name, fit(item, field)]];
  });
  const result = Object.fromEntries(kept);
  for (const [name, field] of Object.entries(properties)) {
    if (isMap(field) && field['default'] !== undefined && result[name] === undefined) result[name] = fit(structuredClone(field['default']), field);
  }
  return result;
}
