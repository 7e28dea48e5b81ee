import * as z from 'zod';

/** Objects as far as `check` looks at them. Loose: what else they hold is nobody's business here. */

const texts = z.record(z.string(), z.string());

const metadata = z.looseObject({
  name: z.string(),
  namespace: z.string().optional(),
  labels: texts.optional(),
  annotations: texts.optional(),
  generation: z.number().optional(),
  deletionTimestamp: z.string().nullish(),
  managedFields: z
    .array(z.looseObject({ manager: z.string().optional(), time: z.string().optional() }))
    .nullish(),
});

const condition = z.looseObject({
  type: z.string(),
  status: z.string(),
  reason: z.string().nullish(),
  message: z.string().nullish(),
});

export const namespaceObject = z.looseObject({ metadata });

const container = z.looseObject({
  name: z.string(),
  image: z.string().optional(),
  args: z.array(z.string()).nullish(),
  ports: z.array(z.looseObject({ name: z.string().optional(), containerPort: z.number() })).nullish(),
});

const terminated = z.looseObject({
  exitCode: z.number(),
  message: z.string().optional(),
  finishedAt: z.string().nullish(),
});

const containerState = z.looseObject({
  running: z.looseObject({}).nullish(),
  waiting: z.looseObject({ reason: z.string().optional(), message: z.string().optional() }).nullish(),
  terminated: terminated.nullish(),
});

const containerStatus = z.looseObject({
  name: z.string(),
  restartCount: z.number().nullish(),
  state: containerState.nullish(),
  lastState: containerState.nullish(),
});

const template = z.looseObject({
  metadata: z.looseObject({}).nullish(),
  spec: z.looseObject({ containers: z.array(container) }),
});

export const podObject = z.looseObject({
  metadata: metadata.extend({
    creationTimestamp: z.string().nullish(),
    ownerReferences: z.array(z.looseObject({ kind: z.string(), name: z.string() })).nullish(),
  }),
  spec: z.looseObject({ containers: z.array(container) }),
  status: z
    .looseObject({
      phase: z.string().optional(),
      conditions: z.array(condition).nullish(),
      initContainerStatuses: z.array(containerStatus).nullish(),
      containerStatuses: z.array(containerStatus).nullish(),
    })
    .optional(),
});

export const workloadObject = z.looseObject({
  metadata,
  spec: z.looseObject({ replicas: z.number().nullish(), template }),
  status: z
    .looseObject({
      observedGeneration: z.number().nullish(),
      replicas: z.number().nullish(),
      readyReplicas: z.number().nullish(),
      updatedReplicas: z.number().nullish(),
      desiredNumberScheduled: z.number().nullish(),
      currentNumberScheduled: z.number().nullish(),
      conditions: z.array(condition).nullish(),
    })
    .nullish(),
});

/** Selectors and conditions are compared as a whole, so their insides are not described. */
export const inspectedWebhooks = z.looseObject({
  metadata,
  webhooks: z
    .array(
      z.looseObject({
        name: z.string(),
        clientConfig: z.looseObject({
          caBundle: z.string().optional(),
          service: z.looseObject({ name: z.string(), namespace: z.string() }).optional(),
        }),
        failurePolicy: z.string().optional(),
        timeoutSeconds: z.number().optional(),
        namespaceSelector: z
          .looseObject({
            matchLabels: z.record(z.string(), z.string()).nullish(),
            matchExpressions: z
              .array(
                z.looseObject({
                  key: z.string(),
                  operator: z.string(),
                  values: z.array(z.string()).nullish(),
                }),
              )
              .nullish(),
          })
          .nullish(),
        objectSelector: z.unknown().optional(),
        rules: z.unknown().optional(),
        matchConditions: z.array(z.looseObject({ name: z.string(), expression: z.string() })).nullish(),
      }),
    )
    .nullish(),
});

export const eventObject = z.looseObject({
  involvedObject: z.looseObject({ kind: z.string().optional(), name: z.string().optional() }),
  message: z.string().nullish(),
});

export const configMapObject = z.looseObject({ metadata, data: texts.optional() });

export const versionAnswer = z.looseObject({
  major: z.string(),
  minor: z.string(),
  gitVersion: z.string(),
});

export const accessReview = z.looseObject({
  status: z.looseObject({ allowed: z.boolean() }),
});

export const selfReview = z.looseObject({
  status: z.looseObject({
    userInfo: z.looseObject({ username: z.string().optional() }),
  }),
});

export type InspectedNamespace = z.infer<typeof namespaceObject>;
export type InspectedPod = z.infer<typeof podObject>;
export type InspectedWorkload = z.infer<typeof workloadObject>;
export type InspectedWebhooks = z.infer<typeof inspectedWebhooks>;

export function listOf<T>(item: z.ZodType<T>) {
  return z.looseObject({
    metadata: z.looseObject({ continue: z.string().optional() }),
    items: z.array(item).nullish(),
  });
}
