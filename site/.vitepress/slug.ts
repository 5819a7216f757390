/** The anchor that GitHub makes of a heading, so that a link to it is right in both places. */
export function slugify(title: string): string {
  return title
    .toLowerCase()
    .replace(/[^\w\- ]/g, '')
    .replaceAll(' ', '-')
}
