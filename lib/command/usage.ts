/** What follows a fault in the call. */
export const HINT = 'Try: express-oidc --help'

/** What `--help` prints. */
export const USAGE = `express-oidc: registers this application at an OpenID provider, and looks after the registration.

  express-oidc register       --issuer URL --store DIR [--metadata FILE] [members]
  express-oidc show           --issuer URL (--store DIR | CLIENT_ID)
  express-oidc list           --issuer URL [--query TEXT] [--limit NUMBER]          (Okta)
  express-oidc update         --issuer URL (--store DIR | CLIENT_ID) [--metadata FILE] [members]
  express-oidc rotate-secret  --issuer URL (--store DIR | CLIENT_ID)
  express-oidc delete         --issuer URL (--store DIR | CLIENT_ID)
  express-oidc generate-key   --alg ALG                    prints a private JSON Web Key for clientKeys

The provider
  --issuer URL                 the issuer; its metadata names the registration endpoint
  --registration-endpoint URL  the endpoint itself; with --store, --issuer is needed all the same
  --registration-client-uri URL
                               where the entry of CLIENT_ID is, with its own registration token as the token
  --token-file FILE            holds the initial access token or API token; or the environment variable
                               EXPRESS_OIDC_TOKEN. Never on the command line, where others can see it.
  --scheme SSWS|Bearer         how the token is sent: SSWS for an API token of Okta. Default: Bearer
  --insecure                   allow plain http, for development

The client
  --store DIR                  the folder of fileClientStore() where the client is kept
  --provider NAME              its name under providers, where the application has several
  --metadata FILE              members as JSON, by the names of the standards; a null takes one away
  --name TEXT                  client_name
  --redirect-uri URL           redirect_uris; may be repeated
  --post-logout-redirect-uri URL
                               post_logout_redirect_uris; may be repeated
  --response-type TYPE         response_types; may be repeated
  --grant-type TYPE            grant_types; may be repeated
  --auth-method METHOD         token_endpoint_auth_method
  --application-type TYPE      application_type
  --initiate-login-uri URL     initiate_login_uri

Results
  --json                       prints JSON, without secrets unless --show-secret is given
  --show-secret                prints the client secret and the registration token
  --help, --version

Exit codes: 0 done, 1 refused or failed, 2 called wrongly.
`
