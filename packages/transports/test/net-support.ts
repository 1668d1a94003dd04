/** What the tests of `net` share. */

import { parseAddress, type Section } from "@testudo/core";

export function at(text: string): Section {
  const section = parseAddress(text).routes[0]?.sections[0];
  if (section === undefined) throw new Error(`${text} has no section`);
  return section;
}
