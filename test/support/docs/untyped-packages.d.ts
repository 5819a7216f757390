// Packages of the tests that bring no types of their own: as much of them as the tests use.

declare module 'express4' {
  import express from 'express'

  export default express
}

declare module 'oidc-provider' {
  import type { EventEmitter } from 'node:events'
  import type { IncomingMessage, ServerResponse } from 'node:http'

  export interface InteractionDetails {
    readonly uid: string
    readonly prompt: { readonly name: string; readonly details: Readonly<Record<string, unknown>> }
    readonly params: Readonly<Record<string, string | undefined>>
    readonly session?: { readonly accountId?: string }
    readonly grantId?: string
  }

  export const errors: { readonly InvalidTarget: new () => Error }

  export interface Grant {
    addOIDCScope(scope: string): void
    rejectOIDCScope(scope: string): void
    addOIDCClaims(claims: readonly string[]): void
    save(): Promise<string>
  }

  export class Provider extends EventEmitter {
    constructor(issuer: string, configuration: object)
    readonly issuer: string
    proxy: boolean
    readonly Client: {
      readonly prototype: {
        redirectUriAllowed: (uri: string) => boolean
        postLogoutRedirectUriAllowed: (uri: string) => boolean
      }
    }
    readonly Grant: {
      new (properties: { accountId: string; clientId: string }): Grant
      find(id: string): Promise<Grant | undefined>
    }
    callback(): (req: IncomingMessage, res: ServerResponse) => Promise<void>
    interactionDetails(req: IncomingMessage, res: ServerResponse): Promise<InteractionDetails>
    interactionFinished(req: IncomingMessage, res: ServerResponse, result: object): Promise<void>
  }
}
