// {{name}}: an application of Express that answers with a local model. See the scripts in package.json.
import express from 'express'

// shimmy exec sets all of these; without it, a server on its usual port is taken.
const base = process.env.OPENAI_BASE_URL ?? 'http://127.0.0.1:11435/v1'
const headers = { 'content-type': 'application/json', authorization: `Bearer ${process.env.OPENAI_API_KEY ?? 'shimmy'}` }

async function chooseModel (asked) {
  if (asked ?? process.env.SHIMMY_MODEL) return asked ?? process.env.SHIMMY_MODEL
  const list = await (await fetch(`${base}/models`, { headers })).json()
  return list.data[0].id
}

const app = express()
app.use(express.json())

app.get('/health', (request, response) => response.json({ status: 'ok' }))

app.post('/chat', async (request, response) => {
  if (typeof request.body?.text !== 'string') return response.status(400).json({ error: 'text is missing: what to answer' })
  const stop = new AbortController()
  response.on('close', () => stop.abort())
  try {
    const answer = await fetch(`${base}/chat/completions`, {
      method: 'POST',
      headers,
      signal: stop.signal,
      body: JSON.stringify({
        model: await chooseModel(request.body.model), stream: true, messages: [{ role: 'user', content: request.body.text }]
      })
    })
    if (!answer.ok) return response.status(502).json(await answer.json())
    response.type('text/plain')
    let rest = ''
    for await (const piece of answer.body.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + piece).split('\n')
      rest = lines.pop()
      for (const line of lines) {
        if (line.startsWith('data: {')) response.write(JSON.parse(line.slice(6)).choices[0]?.delta?.content ?? '')
      }
    }
    response.end()
  } catch (error) {
    if (!response.headersSent) response.status(502).json({ error: error.message })
    else response.end()
  }
})

const server = app.listen(process.env.PORT ?? 3000, () => console.log(`{{name}} listens on http://127.0.0.1:${server.address().port}`))
process.on('SIGTERM', () => server.close())
