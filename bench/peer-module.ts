/** Loads a module that the compiler cannot see: it is built, or installed, only by the script that measures it. */
export async function moduleOf(path: string): Promise<unknown> {
  return await import(new URL(path, import.meta.url).href)
}
