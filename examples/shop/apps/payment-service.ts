import { serve } from './behaviour.ts'
import { readSettings } from './settings.ts'

/** Takes payments: `POST /api/pay`. Who may call it is the mesh's business, not its own. */
let taken = 0

serve(readSettings(), (request, _body, answer) => {
  const found = request.method === 'POST' && (request.url ?? '').split('?')[0] === '/api/pay'
  if (found) taken++
  answer(found ? 200 : 404, found ? { taken } : { error: 'POST /api/pay' })
})
