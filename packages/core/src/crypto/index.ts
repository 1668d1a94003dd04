/**
 * Crypto: the only door. `provider` is native on Node and plain TypeScript elsewhere, chosen by the
 * import condition `#crypto`; there is no switch at run time.
 */
export { provider } from "#crypto";
export type {
  Aead,
  CipherName,
  CryptoProvider,
  HashName,
  KeyAgreement,
  Signer,
} from "./types.ts";
