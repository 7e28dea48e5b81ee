import * as z from 'zod';

/** Objects of the API server as far as they are read here. Loose: what is written back keeps all the rest. */

const texts = z.record(z.string(), z.string());

const metadata = z.looseObject({
  name: z.string(),
  uid: z.string().optional(),
  resourceVersion: z.string(),
  labels: texts.optional(),
  annotations: texts.optional(),
});

export const secretObject = z.looseObject({ metadata, data: texts.optional() });

export const webhookConfigurationObject = z.looseObject({
  metadata,
  webhooks: z
    .array(
      z.looseObject({ name: z.string(), clientConfig: z.looseObject({ caBundle: z.string().optional() }) }),
    )
    .optional(),
});

/** A list, without its items. */
export const listObject = z.looseObject({
  metadata: z.looseObject({ resourceVersion: z.string(), continue: z.string().optional() }),
});

export const endpointSliceList = z.looseObject({
  items: z.array(
    z.looseObject({
      endpoints: z
        .array(
          z.looseObject({
            conditions: z.looseObject({ ready: z.boolean().nullish() }).nullish(),
            targetRef: z.looseObject({ kind: z.string().optional(), name: z.string().optional() }).nullish(),
          }),
        )
        .nullish(),
    }),
  ),
});

/** One line of a watch that is not about an object. */
export const watchLine = z.discriminatedUnion('type', [
  z.looseObject({
    type: z.literal('BOOKMARK'),
    object: z.looseObject({ metadata: z.looseObject({ resourceVersion: z.string() }) }),
  }),
  z.looseObject({
    type: z.literal('ERROR'),
    object: z.looseObject({ code: z.number().optional(), message: z.string().optional() }),
  }),
]);
