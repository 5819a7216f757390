import { describeFapi1Plan } from '../support/conformance/fapi1.ts'
import { FAPI1_JARM_MODULES } from '../support/conformance/modules.ts'

// FAPI 1.0 Advanced, with its answers as signed JWTs.

const PLAN = 'fapi1-advanced-final-client-test-plan'

describeFapi1Plan(PLAN, { client_auth_type: 'private_key_jwt' }, FAPI1_JARM_MODULES)
describeFapi1Plan(PLAN, { client_auth_type: 'mtls', fapi_auth_request_method: 'pushed' }, FAPI1_JARM_MODULES)
