export const collection = {
  title: "What is stored of each position",
  lead: "What you leave out is taken away when a position arrives, before anything is stored. Nobody can have it later.",
  link: "What is stored of each position",
  speed: "Speed",
  speedHint: "From the receiver, the tachograph and the wheels, and the speeds of trips and of overspeeding.",
  cell: "Mobile network and WiFi",
  cellHint: "Cell towers and access points near the tracker. They tell where it is, too.",
  driver: "Driver",
  driverHint: "The card or key that a driver presented, pictures and alerts of cameras, and beacons that people carry.",
  coordinates: "Coordinates",
  exact: "as the tracker sends them",
  decimals: { 4: "rounded to about 10 metres", 3: "rounded to about 100 metres", 2: "rounded to about a kilometre" },
  coordinatesHint: "With rounding, neighbour cells, access points and other places that would tell more are left out.",
  unknown:
    "While anything is left out, so is what a tracker sends that has no known meaning: it could say the same in other words.",
  fromNow:
    "It holds from now on. What is stored already stays as it is, until its period ends or you delete the tracker.",
  save: "Save",
};
