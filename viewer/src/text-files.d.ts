/** Files that the bundler puts in as text. */
declare module '*.glsl' {
  const text: string
  export default text
}
