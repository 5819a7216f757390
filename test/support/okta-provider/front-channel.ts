import type { OktaContext } from './context.ts'
import { clientOf, issuerOf } from './tokens.ts'

/** How the browser tells an application that somebody logs out: in a hidden frame of Okta's page. */
export interface FrontChannelRequest {
  readonly url: string
  /** What the frame posts, as in an example of the documentation; absent: it is opened by GET, as in the standard. */
  readonly fields?: URLSearchParams
}

/**
 * The requests to the applications that take part and that somebody has logged in to in this session (OIDC Front-Channel
 * Logout 3). Okta has it behind a feature flag, and has nothing by the back channel.
 */
export function frontChannelRequests(
  context: OktaContext,
  sid: string,
  method: 'GET' | 'POST' = 'GET',
): readonly FrontChannelRequest[] {
  const grants = [...context.idTokens.values()].filter((grant) => grant.sid === sid)
  const byClient = new Map(grants.map((grant) => [grant.clientId, grant]))
  return [...byClient.values()].flatMap((grant) => {
    const { participate_slo: takesPart, frontchannel_logout_uri: uri } = clientOf(context, grant)
    if (!takesPart || uri === undefined) return []
    const params = new URLSearchParams({ iss: issuerOf(context, grant), sid })
    return method === 'POST' ? [{ url: uri, fields: params }] : [{ url: `${uri}?${params}` }]
  })
}
