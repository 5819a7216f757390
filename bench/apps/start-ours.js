import { answerOnce } from './first-answer.js'

const startedAt = performance.now()
const { default: express } = await import('express')
const { default: session } = await import('express-session')
const { oidc } = await import('express-oidc')
const app = express()
app.use(session({ secret: 'only for benchmarks', resave: false, saveUninitialized: false }))
app.use(
  oidc({
    issuer: 'https://provider.example.com',
    clientId: 'benchmark',
    clientSecret: 'a secret that is long enough for all',
    baseUrl: 'https://app.example.com',
  }),
)
app.get('/', (_req, res) => res.end('hello'))
await answerOnce(app)
process.send(performance.now() - startedAt)
