// Shares as people type them: a percentage with at most six decimals, or nothing. Never a float on its way to the
// server; the slider's number is for the eye.
export function shareOf(text: string): string | null {
  const found = /^\s*(\d{1,3})(?:\.(\d{1,6}))?\s*%?\s*$/.exec(text);
  if (!found) return null;
  const [, whole = '0', part = ''] = found;
  const millionths = Number(whole) * 1_000_000 + Number(part.padEnd(6, '0'));
  if (millionths > 100_000_000) return null;
  const rest = part.replace(/0+$/, '');
  return `${Number(whole)}${rest ? `.${rest}` : ''}%`;
}
