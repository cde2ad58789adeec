/** 8-bit RGB images in memory. */
export interface Size {
  readonly width: number
  readonly height: number
}

/** 8-bit RGB pixels, interleaved, rows from the top without padding: `data.length === width * height * 3`. */
export interface Image {
  readonly data: Uint8Array
  readonly width: number
  readonly height: number
  readonly channels: 3
}

/**
 * The image grown to the right and down by edge replication, so that its sides are multiples of `multiple`.
 *
 * @example padImage(image, 64).width % 64 === 0
 */
export function padImage(image: Image, multiple: number): Image {
  return growImage(image, Math.ceil(image.width / multiple) * multiple, Math.ceil(image.height / multiple) * multiple)
}

/** The image grown to the right and down by edge replication to `width` x `height`, which are no less than it has. */
export function growImage(image: Image, width: number, height: number): Image {
  if (width === image.width && height === image.height) return image
  const data = new Uint8Array(width * height * 3)
  const stride = width * 3
  for (let y = 0; y < image.height; y++) {
    const row = data.subarray(y * stride, (y + 1) * stride)
    row.set(image.data.subarray(y * image.width * 3, (y + 1) * image.width * 3))
    for (let x = image.width * 3; x < stride; x++) row[x] = row[x - 3] as number
  }
  const last = data.subarray((image.height - 1) * stride, image.height * stride)
  for (let y = image.height; y < height; y++) data.set(last, y * stride)
  return { data, width, height, channels: 3 }
}

/** The top left `width` x `height` pixels. */
export function cropImage(image: Image, width: number, height: number): Image {
  if (width === image.width && height === image.height) return image
  const data = new Uint8Array(width * height * 3)
  for (let y = 0; y < height; y++) {
    const from = y * image.width * 3
    data.set(image.data.subarray(from, from + width * 3), y * width * 3)
  }
  return { data, width, height, channels: 3 }
}
