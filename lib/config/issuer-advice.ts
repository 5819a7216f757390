interface Advice {
  /** What follows the option's name. */
  readonly sentence: string
  readonly fits: (issuer: IssuerParts) => boolean
}

interface IssuerParts {
  readonly text: string
  readonly host: string
  readonly path: string
  readonly isOkta: boolean
}

const ADVICE: readonly Advice[] = [
  {
    sentence: 'holds a placeholder: put in the domain of your own provider',
    fits: ({ text }) => /[{}<>]/.test(text),
  },
  {
    sentence: 'has its scheme twice: leave one https:// out',
    fits: ({ text }) => /^https?:\/\/https?(?::|\/\/)/i.test(text),
  },
  {
    sentence: 'ends its host in .com twice: leave one out',
    fits: ({ isOkta, host }) => isOkta && /\.com\.com$/.test(host),
  },
  {
    sentence: 'is the address of the discovery document: leave out /.well-known/ and what follows',
    fits: ({ path }) => /\/\.well-known\/(?:openid-configuration|oauth-authorization-server)\/?$/.test(path),
  },
  {
    sentence: 'is the address of the admin console: leave -admin out of the host',
    fits: ({ isOkta, host }) => isOkta && /^[^.]*-admin\./.test(host),
  },
  {
    sentence: 'is an endpoint: it must end before /v1, for example https://example.okta.com/oauth2/default',
    fits: ({ isOkta, path }) => isOkta && /^\/oauth2(?:\/[^/]+)?\/v1(?:\/|$)/.test(path),
  },
  {
    sentence: 'ends in a slash, which no issuer of Okta does: leave it out',
    fits: ({ isOkta, path }) => isOkta && path.endsWith('/'),
  },
]

/**
 * What is typically wrong with an issuer, each as the rest of a sentence; none for a value that looks right. Only what
 * is wrong at any provider is held against hosts that are not Okta's.
 */
export function issuerAdvice(issuer: string): readonly string[] {
  const [, host = '', path = ''] = /^https?:\/\/([^/?#:]*)[^/?#]*([^?#]*)/i.exec(issuer) ?? []
  const isOkta = /\.(?:okta|oktapreview|okta-emea)\.com(?:\.com)?$/i.test(host)
  const parts = { text: issuer, host: host.toLowerCase(), path, isOkta }
  return ADVICE.filter(({ fits }) => fits(parts)).map(({ sentence }) => sentence)
}

/**
 * Whether a value was copied from documentation with its placeholder: `{clientId}`, `${CLIENT_ID}`, `<your-client-id>`.
 * A random secret may hold any of these characters, so the whole value must look so, or name what is yours to put in.
 */
export function hasPlaceholder(value: string): boolean {
  return /^\$?\{[^{}]*\}$|^<[^<>]*>$|[{<]\s*your[^{}<>]*[}>]/i.test(value)
}
