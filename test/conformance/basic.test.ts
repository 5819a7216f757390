import { modulesOfType } from '../support/conformance/modules.ts'
import { describeOidccPlan } from '../support/conformance/oidcc.ts'

// The modules of the OpenID Foundation's plans for relying parties, acted out by their names: what their provider does,
// and what it sees us do. Where it waits for quiet, we count its calls.

describeOidccPlan('oidcc-client-basic-certification-test-plan', {}, modulesOfType('code'))
describeOidccPlan(
  'oidcc-client-formpost-basic-certification-test-plan',
  { response_mode: 'form_post' },
  modulesOfType('code'),
)
