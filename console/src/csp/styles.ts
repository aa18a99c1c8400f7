// Styles of the components as constructed sheets: what a script makes of objects, no policy calls inline. Stands in
// for two modules of the component library (vite.config.ts) and keeps their order. Never touches the document's text.

type Options = { mark?: string; prepend?: boolean | 'queue'; priority?: number; attachTo?: unknown; csp?: unknown };
type Kept = { sheet: CSSStyleSheet; element: HTMLStyleElement; css: string; rank: number };

const kept = new Map<string, Kept>();
const order: Kept[] = [];

const rankOf = ({ prepend, priority = 0 }: Options) => (prepend === 'queue' ? priority : prepend ? -Infinity : Infinity);
const named = (key: string, { mark }: Options) => `${mark ?? ''} ${key}`;

/** Puts `css` in force under `key`. What is handed back is a note for its caller and stands in no document. */
export function updateCSS(css: string, key: string, options: Options = {}): HTMLStyleElement {
  const name = named(key, options);
  let one = kept.get(name);
  if (!one) {
    one = { sheet: new CSSStyleSheet(), element: document.createElement('style'), css: '', rank: rankOf(options) };
    const at = order.findIndex((other) => other.rank > one!.rank);
    const place = at < 0 ? order.length : at;
    order.splice(place, 0, one);
    kept.set(name, one);
    document.adoptedStyleSheets.splice(place, 0, one.sheet);
  }
  if (one.css !== css) {
    one.css = css;
    one.sheet.replaceSync(css);
  }
  return one.element;
}

/** Takes it away. */
export function removeCSS(key: string, options: Options = {}): void {
  const name = named(key, options);
  const one = kept.get(name);
  if (!one) return;
  kept.delete(name);
  const place = order.indexOf(one);
  order.splice(place, 1);
  document.adoptedStyleSheets.splice(place, 1);
}

export const injectCSS = (css: string, options: Options = {}) => updateCSS(css, css, options);
export const clearContainerCache = () => {};
// What the icons ask of the same file.
export const getShadowRoot = () => null;
export const isInShadow = () => false;
export const warningOnce = (valid: boolean, message: string) => {
  if (!valid && import.meta.env.DEV) console.error(message);
};
export const note = () => {};
export const warning = warningOnce;
export default warningOnce;
