import { answerOnce } from './first-answer.js'

const startedAt = performance.now()
const { default: express } = await import('express')
const { default: session } = await import('express-session')
const app = express()
app.use(session({ secret: 'only for benchmarks', resave: false, saveUninitialized: false }))
app.get('/', (_req, res) => res.end('hello'))
await answerOnce(app)
process.send(performance.now() - startedAt)
