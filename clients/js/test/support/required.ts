/**
 * For `test(…, { skip })`: false where something is there, otherwise why the tests cannot run. With `CI` set nothing may
 * be missing: a test that is skipped there would count as passed.
 */
export function required(isThere: unknown, missing: string): string | false {
	if (isThere) return false;
	if (process.env.CI) throw new Error(`CI is set, so nothing may be missing: ${missing}`);
	return missing;
}
