export type {
  ClientChanges,
  ClientInformation,
  ClientMetadata,
  ClientStore,
  InitialAccessToken,
  InitialAccessTokenScheme,
  RegisteredClient,
  RegistrationOptions,
} from './options/registration-options.ts'
export { adviseOnClient } from './registration/client-metadata.ts'
export {
  deleteClient,
  readClient,
  registerClient,
  rotateClientSecret,
  type SecretRotation,
  updateClient,
} from './registration/clients.ts'
export {
  findRegistrationEndpoint,
  type RegistrationEndpoint,
  type RegistrationEndpointOptions,
} from './registration/endpoint.ts'
export { fileClientStore } from './registration/file-client-store.ts'
export { type ClientListOptions, fromOktaApp, listClients, toOktaApp } from './registration/okta.ts'
export { clientKey } from './registration/own-client.ts'
