/** A store of objects that speaks S3, and addresses in it: s3://BUCKET/KEY. */
import { S3Client, S3ServiceException } from '@aws-sdk/client-s3'
import { ClericError } from 'cleric'
import { outOfRange } from 'cleric/internal'

export interface ObjectAddress {
  readonly bucket: string
  /** May be empty where a prefix is meant. */
  readonly key: string
}

export function isObject(path: string): boolean {
  return /^s3:\/\//i.test(path)
}

/** @throws RangeError */
export function objectAt(address: string): ObjectAddress {
  const [, bucket, key] = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:\/(.*))?$/is.exec(address) ?? []
  if (bucket === undefined) throw outOfRange('s3://BUCKET/KEY', 'the address', address)
  return { bucket, key: key ?? '' }
}

export function addressOf({ bucket, key }: ObjectAddress): string {
  return `s3://${bucket}/${key}`
}

/**
 * A client by the environment, as all programs with AWS's SDK have it: AWS_REGION, AWS_ACCESS_KEY_ID and so on, or a role
 * of the machine; AWS_ENDPOINT_URL for stores that aren't Amazon's.
 */
export function s3Client(): S3Client {
  const { AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, AWS_REGION, AWS_DEFAULT_REGION } = process.env
  const endpoint = AWS_ENDPOINT_URL_S3 ?? AWS_ENDPOINT_URL
  // Stores of one's own have no name for each bucket, and take any region.
  const atEndpoint = endpoint
    ? { endpoint, forcePathStyle: true, region: AWS_REGION ?? AWS_DEFAULT_REGION ?? 'us-east-1' }
    : {}
  return new S3Client({ ...atEndpoint, maxAttempts: 5 })
}

/** Names of failures, or statuses where there is no name, as the answer to HEAD has no body. */
export function isFailure(error: unknown, ...names: readonly (string | number)[]): boolean {
  if (!(error instanceof S3ServiceException)) return false
  return names.includes(error.name) || names.includes(error.$metadata.httpStatusCode ?? 0)
}

/** What the store answered, as an error of cleric's; errors of other kinds stay what they are. */
export function asClericError(error: unknown, address: string): unknown {
  if (error instanceof ClericError || (error as Error)?.name === 'AbortError') return error
  const { name, message } = error as Error
  const what = message && message !== name ? `${name}: ${message}` : name
  return new ClericError('ERR_NETWORK', `${address}: ${what}`, { cause: error })
}
