import { auth } from "./auth.ts";

/**
 * What the rules refuse, where a person reads it better than a program: by the sentence of the rule, with "%" for the
 * name of the field that it begins with and "#" for each number. In the answer "%" is the field's label.
 */
export const problems: Readonly<Record<string, string>> = {
  "% must be an e-mail address like name@example.com": "Enter an e-mail address like name@example.com.",
  "% must be a number with its country code, like +# # #":
    "Enter the number with its country code, like +49 170 1234567.",
  "% must be in the international form, such as +# # #":
    "Enter the number with its country code, like +49 170 1234567.",
  "% must have at least # character": "“%” must not be empty.",
  "% must have # to # characters, none of them a control character": "“%” must have # to # characters.",
  "% must not hold control characters": "“%” holds a character that cannot be stored.",
  "% is not right, or was used already": auth.problems.code,
  "% is required: it is on the tracker's box": "Enter the code that is on the tracker's box.",
  "% is one of the first that anybody would guess": "“%” is one of the first that anybody would guess. Choose another.",
  "No such link: it was used already, or is too old": auth.problems.link,
  "Your role does not do": "Your role does not allow this. An owner or administrator can change it.",
  "No such path": "Check the address, or begin at home.",
  "This is not the text in force: read it again":
    "The text was changed in the meantime. Read the new version, then decide.",
  "The hash is not that of the published text: read it again":
    "The text was changed in the meantime. Read the new version, then decide.",
};
