/** What made a tracker report. */
export interface Event {
  readonly code: number;
  readonly name: string;
}

/** Event codes, Meitrack GPRS protocol V1.24, V1.8, T366, T622 and MDVR (event code tables). */
export const EVENTS = [
  { code: 1, name: "SOS or input 1 active" },
  { code: 2, name: "input 2 active" },
  { code: 3, name: "input 3 active" },
  { code: 4, name: "input 4 active" },
  { code: 5, name: "input 5 active" },
  { code: 9, name: "input 1 inactive" },
  { code: 10, name: "input 2 inactive" },
  { code: 11, name: "input 3 inactive" },
  { code: 12, name: "input 4 inactive" },
  { code: 13, name: "input 5 inactive" },
  { code: 17, name: "low internal battery" },
  { code: 18, name: "low external battery" },
  { code: 19, name: "speeding" },
  { code: 20, name: "enter geo-fence" },
  { code: 21, name: "exit geo-fence" },
  { code: 22, name: "external battery on" },
  { code: 23, name: "external battery cut" },
  { code: 24, name: "GPS signal lost" },
  { code: 25, name: "GPS signal recovered" },
  { code: 26, name: "enter sleep" },
  { code: 27, name: "exit sleep" },
  { code: 28, name: "GPS antenna cut" },
  { code: 29, name: "device reboot" },
  // 30 in V1.24 only; T366 and later report 78.
  { code: 30, name: "impact" },
  { code: 31, name: "heartbeat" },
  { code: 32, name: "cornering" },
  { code: 33, name: "distance" },
  { code: 34, name: "reply to locate now" },
  { code: 35, name: "time interval" },
  { code: 36, name: "tow" },
  { code: 37, name: "RFID, iButton or magnetic card" },
  { code: 39, name: "photo" },
  { code: 40, name: "power off" },
  { code: 41, name: "stop moving" },
  { code: 42, name: "start moving" },
  { code: 44, name: "GSM jamming" },
  { code: 50, name: "temperature high" },
  { code: 51, name: "temperature low" },
  { code: 52, name: "fuel full" },
  { code: 53, name: "fuel low" },
  { code: 54, name: "fuel theft" },
  { code: 56, name: "armed" },
  { code: 57, name: "disarmed" },
  { code: 58, name: "vehicle theft" },
  { code: 63, name: "no GSM jamming" },
  { code: 65, name: "press input 1 (SOS) to call" },
  { code: 66, name: "press input 2 to call" },
  { code: 67, name: "press input 3 to call" },
  { code: 68, name: "press input 4 to call" },
  { code: 69, name: "press input 5 to call" },
  { code: 70, name: "reject incoming call" },
  { code: 71, name: "location by call" },
  { code: 72, name: "auto-answer call" },
  { code: 73, name: "listen-in" },
  { code: 78, name: "impact" },
  { code: 79, name: "fall" },
  { code: 80, name: "install" },
  { code: 81, name: "drop off" },
  { code: 82, name: "fuel filling" },
  { code: 83, name: "ultrasonic sensor drop" },
  { code: 90, name: "sharp turn left" },
  { code: 91, name: "sharp turn right" },
  { code: 94, name: "output 1 active" },
  { code: 95, name: "output 2 active" },
  { code: 96, name: "output 1 inactive" },
  { code: 97, name: "output 2 inactive" },
  { code: 109, name: "taxi meter data" },
  { code: 114, name: "driving behaviour" },
  { code: 126, name: "ADAS or DMS alert" },
  { code: 129, name: "harsh braking" },
  { code: 130, name: "harsh acceleration" },
  { code: 133, name: "idle overtime" },
  { code: 134, name: "idle recovery" },
  { code: 135, name: "fatigue driving" },
  { code: 136, name: "enough rest" },
  { code: 139, name: "maintenance notice" },
  { code: 144, name: "ignition on" },
  { code: 145, name: "ignition off" },
  { code: 576, name: "video loss channel 1" },
  { code: 577, name: "video loss channel 2" },
  { code: 578, name: "video loss channel 3" },
  { code: 579, name: "video loss channel 4" },
  { code: 580, name: "video loss channel 5" },
  { code: 581, name: "video loss channel 6" },
  { code: 582, name: "video loss channel 7" },
  { code: 583, name: "video loss channel 8" },
  { code: 608, name: "storage failure" },
  { code: 609, name: "storage full" },
  { code: 610, name: "video recovery channel 1" },
  { code: 611, name: "video recovery channel 2" },
  { code: 612, name: "video recovery channel 3" },
  { code: 613, name: "video recovery channel 4" },
] as const satisfies readonly Event[];

const LAST_CODE = Math.max(...EVENTS.map((event) => event.code));
const BY_CODE: (Event | undefined)[] = Array.from({ length: LAST_CODE + 1 }, () => undefined);
for (const event of EVENTS) BY_CODE[event.code] = Object.freeze(event);

/** Code with its name. Positions share the object of a listed code. */
export function eventOf(code: number): Event {
  return BY_CODE[code] ?? { code, name: "unknown" };
}

/** Plain words for an event code, "unknown" for one that no manual lists. */
export function eventName(code: number): string {
  return eventOf(code).name;
}
