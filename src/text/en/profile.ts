export const profile = {
  losses: {
    email: "Needed: without it there is no account.",
    name: "Without it: others in your account see only your e-mail address.",
    mobile: "Without it: nothing stops working. No SMS is sent by this installation.",
    shippingAddress: "Without it: no tracker can be sent to you.",
    billingAddress: "Without it: no invoice can be written.",
    paymentMode: "Without it: no invoice can be written.",
    language: "Without it: pages and mails are in English.",
    units: "Without it: distances and speeds are metric.",
    timeZone: "Without it: times are shown in UTC.",
    personalisation: "Without it: only the list of the devices that you looked at last is missing.",
    searchHistory: "Without it: only the list of your last searches is missing.",
    imei: "Without it: a tracker cannot be added to the account.",
    location: "Without it: no map, history or export. The tracker can be told to send nothing.",
  },
};
