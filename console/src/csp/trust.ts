// The page's one trusted-types policy: markup from text is refused, but for no text at all, which libraries write to
// empty an element. Must run before them, and never let anything else through.
type Factory = { createPolicy: (name: string, rules: object) => unknown };
const factory = (window as unknown as { trustedTypes?: Factory }).trustedTypes;
const refuse = () => {
  throw new TypeError('markup is not made from text here');
};
factory?.createPolicy('default', {
  createHTML: (text: string) => (text === '' ? '' : refuse()),
  createScript: refuse,
  createScriptURL: refuse,
});
