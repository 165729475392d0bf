// Bare names of our modules as the page's import map has them.

/** @param {string} name @param {object} context @param {(name: string, context: object) => any} next */
export const resolve = (name, context, next) =>
  next(name.startsWith("ops/") ? new URL(`../../static/js/${name.slice(4)}.js`, import.meta.url).href : name, context);
