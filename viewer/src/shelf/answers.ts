/** Answers of `cleric serve`. */

/** @throws Error with the server's message, or with the status if it gives none */
export async function fetchAnswer(address: string, signal?: AbortSignal): Promise<Response> {
  const response = await fetch(address, signal ? { signal } : {})
  if (response.ok) return response
  const body = (await response.json().catch(() => null)) as { message?: unknown } | null
  throw new Error(
    typeof body?.message === 'string' ? body.message : `the server answers ${response.status} ${response.statusText}`,
  )
}

export async function fetchJson(address: string, signal?: AbortSignal): Promise<unknown> {
  return (await fetchAnswer(address, signal)).json()
}

/** Name of a slide as a part of an address. */
export function pathOf(name: string): string {
  return name.split('/').map(encodeURIComponent).join('/')
}
