/** The suite whose packages are the seed; its first release file gave the channels' clock. */
export const seedSuite = "bookworm";

/** What has the seed's packages: of each the newest counts. */
export const seedSuites = [seedSuite, `${seedSuite}-security`];
