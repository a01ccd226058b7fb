// Holidays and make-up working days of the PRC, from chinese-days 1.5.7 and chinese-workday 1.16.1, which agree on every day.
// Made by `node tools/calendar.ts --write`, never by hand: a test makes it again and compares.
export const CN = {
  2024: {
    holidays: "0101 0210-0217 0404-0406 0501-0505 0610 0915-0917 1001-1007",
    work: "0204 0218 0407 0428 0511 0914 0929 1012",
    sha256: "424724fec04f2de2ff112599050dea63207052802eb51e9efbfa9af820c04dba",
  },
  2025: {
    holidays: "0101 0128-0204 0404-0406 0501-0505 0531-0602 1001-1008",
    work: "0126 0208 0427 0928 1011",
    sha256: "3369adcc38bb05ff1143bdf86cf5e8234ec6218ae840fb39174388c134dd1aff",
  },
  2026: {
    holidays: "0101-0103 0215-0223 0404-0406 0501-0505 0619-0621 0925-0927 1001-1007",
    work: "0104 0214 0228 0509 0920 1010",
    sha256: "fa33603c30c0ffc23d047265a3f491b2a24c25a9e6fff7a4e93d2a079ad0980a",
  },
} as const;
