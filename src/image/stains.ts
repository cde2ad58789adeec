/** Directions in which stains take light away, as optical densities of red, green and blue: Ruifrok and Johnston (2001). */
export const HAEMATOXYLIN = [0.65, 0.704, 0.286] as const
export const EOSIN = [0.072, 0.99, 0.105] as const
