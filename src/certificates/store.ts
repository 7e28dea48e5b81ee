/** The certificates that all replicas share, as they lie in their Secret. */
export interface StoredCertificates {
  /** Decoded data of the Secret. */
  readonly files: Readonly<Record<string, string>>;
  /** Opaque: of the state that was read. */
  readonly version: string;
}

/** Where the replicas share their certificates, without a lock: each write names the state that it replaces. */
export interface CertificateStore {
  /** Undefined: there is none. Throws when it cannot be asked. */
  read(): Promise<StoredCertificates | undefined>;
  /** Writes files into exactly what was read (undefined: creates). False: someone was faster; read again. */
  write(files: StoredCertificates['files'], over: StoredCertificates | undefined): Promise<boolean>;
}

/** The caBundle by which the API server trusts us. */
export interface TrustPublisher {
  /**
   * What is published now, PEM; '' where it is empty, and where several webhooks disagree, so that it is published
   * again. Undefined: no webhook of our names exists.
   */
  read(): Promise<string | undefined>;
  /** Over exactly what was read last. False: it was changed by someone meanwhile; read again. */
  publish(bundle: string): Promise<boolean>;
}
