/** 8-bit RGB pixels, interleaved, rows from the top without padding: `data.length === width * height * 3`. */
export interface Image {
  readonly data: Uint8Array
  readonly width: number
  readonly height: number
  readonly channels: 3
}
