export type { ClientChanges, ClientInformation, ClientMetadata, RegisteredClient } from './client-metadata.ts'
export {
  type ClientStore,
  clientKey,
  type InitialAccessToken,
  type InitialAccessTokenScheme,
  type RegistrationOptions,
} from './client-store.ts'
export { fileClientStore } from './file-client-store.ts'
export { fromOktaApp, toOktaApp } from './registration/okta-app.ts'
export {
  deleteClient,
  readClient,
  registerClient,
  rotateClientSecret,
  type SecretRotation,
  updateClient,
} from './registration/registration.ts'
export { adviseOnClient } from './registration/registration-check.ts'
export {
  findRegistrationEndpoint,
  type RegistrationEndpoint,
  type RegistrationEndpointOptions,
} from './registration/registration-endpoint.ts'
export { type ClientListOptions, listClients } from './registration/registration-list.ts'
