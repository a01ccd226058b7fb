const STAMP_BYTES = 12;
const DAYS_IN = [0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/**
 * Seconds from 2000-01-01 UTC of the text `yymmddHHMMSS` in `bytes[from..to)`; -1 when it is not twelve digits or not
 * a date. Source: Meitrack GPRS protocol V1.8, AAA field 4.
 */
export function stampSeconds(bytes: Uint8Array, from: number, to: number): number {
  if (to - from !== STAMP_BYTES) return -1;
  for (let i = from; i < to; i++) if (!(bytes[i] >= 0x30 && bytes[i] <= 0x39)) return -1;
  const two = (at: number) => (bytes[from + at] - 0x30) * 10 + (bytes[from + at + 1] - 0x30);
  const year = two(0);
  const month = two(2);
  const day = two(4);
  const hour = two(6);
  const minute = two(8);
  const second = two(10);
  const leapDay = year % 4 === 0 ? 1 : 0;
  if (month < 1 || month > 12 || hour > 23 || minute > 59 || second > 59) return -1;
  if (day < 1 || day > DAYS_IN[month] + (month === 2 ? leapDay : 0)) return -1;
  let days = year * 365 + Math.ceil(year / 4) + day - 1 + (month > 2 ? leapDay : 0);
  for (let before = 1; before < month; before++) days += DAYS_IN[before];
  return days * 86_400 + hour * 3600 + minute * 60 + second;
}
