/** Events that are reports of routine (meitrack.md 4): heartbeats, intervals, distances, cornering and replies. */
export const ROUTINE_EVENTS = [31, 32, 33, 34, 35] as const;

const ROUTINE: ReadonlySet<number> = new Set(ROUTINE_EVENTS);

/** Whether a position is shown among the events of its device without being asked for by its code. */
export const isAlarm = (event: number): boolean => !ROUTINE.has(event);
